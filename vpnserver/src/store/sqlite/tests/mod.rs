mod opening;
mod records;
