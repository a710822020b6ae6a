-- The address that this machine has on a bridge's TAP device, such as 192.168.30.1/24.
ALTER TABLE local_bridge ADD COLUMN address TEXT;
