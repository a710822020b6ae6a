mod opening;
mod records;
mod site;
mod together;
