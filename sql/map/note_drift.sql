-- Records the tables and columns that the applied map does not speak of. False if that is known, or another map was applied
-- meanwhile.
select lethe.note_drift($1, $2) as "noted!"
