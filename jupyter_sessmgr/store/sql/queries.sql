-- Every statement that the store runs on an open file. A query starts with its name, and the
-- comment below the name says what it is for. Values come as named parameters, only.


-- name: application_id
-- Whose file this is: 0 when it is new.
PRAGMA application_id;

-- name: user_version
-- Which migration ran last: 0 when the file is new.
PRAGMA user_version;

-- name: count_tables
-- How many tables and indexes the file has: none, when it is new.
SELECT count(*) FROM sqlite_master;

-- name: quick_check
-- Look for damage. Answers one row "ok", or a row for each thing that is wrong.
PRAGMA quick_check;

-- name: use_wal
-- Let others read while one writes. Answers the mode that now holds; "wal" when it worked.
PRAGMA journal_mode = WAL;

-- name: use_full_sync
-- Make every commit durable, also when the power fails right after it.
PRAGMA synchronous = FULL;

-- name: distrust_schema
-- Functions with side effects may not be called from the schema of a file that was tampered with.
PRAGMA trusted_schema = OFF;

-- name: data_version
-- Another number than before when another connection committed something.
PRAGMA data_version;

-- name: begin_reading
-- Start a transaction that sees the file as it is now, and waits for nobody.
BEGIN;

-- name: end_reading
-- End what `begin_reading` began.
ROLLBACK;

-- name: begin
-- Start a transaction that may write, waiting for whoever writes now.
BEGIN IMMEDIATE;

-- name: reuse_journal
-- Move what was committed from the journal into the file, and write the journal from its start
-- again: on a full disk that is room which is ours already.
PRAGMA wal_checkpoint(RESTART);


-- name: count_written
-- How many tables ever had a row; deleted rows count.
SELECT count(*) FROM sqlite_sequence;

-- name: last_number
-- The highest number ever given to a session; no row when none was.
SELECT seq FROM sqlite_sequence WHERE name = 'sessions';

-- name: forget_last_number
-- Make room for `say_last_number`.
DELETE FROM sqlite_sequence WHERE name = 'sessions';

-- name: say_last_number
-- Never give a number up to :number again, in a file that was written anew.
INSERT INTO sqlite_sequence (name, seq) VALUES ('sessions', :number);

-- name: seal
-- The text sealed by the installation that the file belongs to; no row when the file is new.
SELECT sealed FROM seal;

-- name: add_seal
-- Say which installation the file belongs to.
INSERT INTO seal (sealed) VALUES (:sealed);


-- name: all_sessions
-- Every session, in the order they were created.
SELECT * FROM sessions ORDER BY number;

-- name: revisions
-- Which sessions there are, and how often each was changed.
SELECT id, revision FROM sessions;

-- name: session
-- One session, as it is now.
SELECT * FROM sessions WHERE id = :id;

-- name: live_name
-- The live session of an owner that has a name.
SELECT id FROM sessions
 WHERE owner = :owner AND name = :name
   AND status NOT IN ('TERMINATED', 'CANCELLED', 'ERROR');

-- name: count_live
-- What is alive: the owner's, the group's, both's and neither's. `total` cannot overflow.
SELECT owner = :owner AS of_owner, "group" = :group AS of_group,
       count(*) AS sessions, sum(status = 'PENDING') AS pending,
       total(cpu_micros) AS cpu_micros, total(mem) AS mem, total(devices) AS devices
  FROM sessions INDEXED BY live_takings
 WHERE status NOT IN ('TERMINATED', 'CANCELLED', 'ERROR')
 GROUP BY 1, 2;

-- name: add_session
-- Write a session's first row. The database gives the number unless :number says one.
INSERT INTO sessions (
    number, id, owner, domain, "group", origin, server_id, spec, created_at,
    cpu_micros, mem, devices,
    name, tag, goal, generation, forced, stop_reason, idle_exempt, kept_until, opened_ports,
    exit_wished,
    status, status_info, failure, observed_generation, place_id, endpoints, encrypted, language,
    kernel_exit, started_at, ended_at, connected_at, last_active_at, queries, cpu_ms, usage,
    history, log_tail, revision
) VALUES (
    :number, :id, :owner, :domain, :group, :origin, :server_id, :spec, :created_at,
    :cpu_micros, :mem, :devices,
    :name, :tag, :goal, :generation, :forced, :stop_reason, :idle_exempt, :kept_until,
    :opened_ports, :exit_wished,
    :status, :status_info, :failure, :observed_generation, :place_id, :endpoints, :encrypted,
    :language, :kernel_exit, :started_at, :ended_at, :connected_at,
    :last_active_at, :queries, :cpu_ms, :usage, :history, :log_tail, :revision
);

-- name: save_wish
-- Write what the manager wishes, and nothing that the reconciler writes.
UPDATE sessions SET
    name = :name, tag = :tag, goal = :goal, generation = :generation, forced = :forced,
    stop_reason = :stop_reason, idle_exempt = :idle_exempt, kept_until = :kept_until,
    opened_ports = :opened_ports, exit_wished = :exit_wished,
    revision = revision + 1
 WHERE id = :id;

-- name: save_facts
-- Write what the reconciler knows, and nothing that the manager wishes.
UPDATE sessions SET
    status = :status, status_info = :status_info, failure = :failure,
    observed_generation = :observed_generation, place_id = :place_id, endpoints = :endpoints,
    encrypted = :encrypted, language = :language, kernel_exit = :kernel_exit,
    started_at = :started_at, ended_at = :ended_at, connected_at = :connected_at,
    last_active_at = :last_active_at, queries = :queries, cpu_ms = :cpu_ms, usage = :usage,
    history = :history, log_tail = :log_tail,
    revision = revision + 1
 WHERE id = :id;

-- name: add_use
-- Add how a session was used: written by whoever saw it, whatever others write.
UPDATE sessions SET
    queries = :queries, connected_at = :connected_at, last_active_at = :last_active_at,
    revision = revision + 1
 WHERE id = :id;

-- name: forget_session
-- Delete a session's row. Its number stays used.
DELETE FROM sessions WHERE id = :id;


-- name: all_places
-- Every place, in the order they were intended.
SELECT * FROM places ORDER BY number;

-- name: place
-- One place, as it is now.
SELECT * FROM places WHERE id = :id;

-- name: save_place
-- Write a place's row, new or again.
INSERT INTO places (id, engine_id, key, image_digest, session_id, state, created_at, pool_key)
VALUES (:id, :engine_id, :key, :image_digest, :session_id, :state, :created_at, :pool_key)
ON CONFLICT (id) DO UPDATE SET
    engine_id = excluded.engine_id, key = excluded.key, image_digest = excluded.image_digest,
    session_id = excluded.session_id, state = excluded.state, created_at = excluded.created_at,
    pool_key = excluded.pool_key;

-- name: forget_place
-- Delete a place's row.
DELETE FROM places WHERE id = :id;
