mod access_rule;
mod opening;
mod records;
mod site;
mod together;
mod trust;
