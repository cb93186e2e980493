-- Whether an erasure map was applied.
select exists (select from lethe.maps) as "has_map!"
