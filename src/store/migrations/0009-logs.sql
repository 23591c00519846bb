-- Owned by room/audit/control: there may be several logs. first and next are the main log's; others has
-- the same for all other logs ("requests:12,sessions:7"); a log that is not named began later.

ALTER TABLE audit_alert ADD COLUMN first_others TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_alert_place ADD COLUMN others TEXT NOT NULL DEFAULT '';
