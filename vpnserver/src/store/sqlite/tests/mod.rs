mod access_rule;
mod backup;
mod opening;
mod records;
mod site;
mod together;
mod trust;
