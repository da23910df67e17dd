-- The same function without backslashes. Its text is read anew by each session, and where
-- standard_conforming_strings is off a backslash in it would be lost: every date became null.
create or replace function rfc3339_to_timestamptz(value text) returns timestamptz
language sql immutable strict parallel safe
as $$
    select case
        when part[1] = '0000' then null
        when part[3]::int > extract(
            day from make_date(part[1]::int, part[2]::int, 1) + interval '1 month - 1 day'
        ) then null
        else (
            (make_date(part[1]::int, part[2]::int, 1) + (part[3]::int - 1))::timestamp
            + make_interval(
                hours => part[4]::int, mins => part[5]::int,
                secs => (part[6] || coalesce(part[7], ''))::double precision
            )
            - make_interval(
                hours => coalesce(part[8] || part[9], '0')::int,
                mins => coalesce(part[8] || part[10], '0')::int
            )
        ) at time zone 'UTC'
    end
    from regexp_match(
        value,
        '^([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[^0-9]'
        '([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9]|60)(?:([.][0-9]{1,6})[0-9]*)?'
        '(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))$'
    ) as part
$$;
