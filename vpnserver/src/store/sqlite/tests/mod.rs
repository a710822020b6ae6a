mod opening;
mod records;
mod site;
