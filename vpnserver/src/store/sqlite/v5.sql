-- The column source holds several networks from now on, with commas between.
ALTER TABLE dnat_rule ADD COLUMN enabled INTEGER NOT NULL DEFAULT 1;
-- HUB/GROUP by name, for either may come later; empty for everybody.
ALTER TABLE dnat_rule ADD COLUMN member_group TEXT NOT NULL DEFAULT '';
-- What the virtual DNS calls it; empty for nothing.
ALTER TABLE dnat_rule ADD COLUMN host_name TEXT NOT NULL DEFAULT '';
-- Seconds between two looks whether the host behind answers, and how long it may take; NULL when nobody looks.
ALTER TABLE dnat_rule ADD COLUMN check_interval INTEGER;
ALTER TABLE dnat_rule ADD COLUMN check_timeout INTEGER;
