//! Linux network devices, links, addresses and routes.
