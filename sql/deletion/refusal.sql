-- Why the erasure map refuses this id of a user; null if it does not.
select lethe_map.refusal($1) as refusal
