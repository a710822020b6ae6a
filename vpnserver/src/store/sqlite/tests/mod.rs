mod access_rule;
mod backup;
mod full_disk;
mod opening;
mod records;
mod site;
mod together;
mod trust;
