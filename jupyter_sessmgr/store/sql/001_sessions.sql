-- Sessions and places, as the first release knew them.

BEGIN IMMEDIATE;

-- One row per session. The columns are the fields of ComputeSession, name by name.
CREATE TABLE sessions (
    -- AUTOINCREMENT: the number of a row that was deleted is never given again.
    number              INTEGER PRIMARY KEY AUTOINCREMENT,
    id                  TEXT    NOT NULL UNIQUE,

    -- Fixed when the session is created.
    owner               TEXT    NOT NULL,
    domain              TEXT    NOT NULL,
    "group"             TEXT    NOT NULL,
    origin              TEXT    NOT NULL,
    server_id           TEXT    NOT NULL,
    spec                TEXT    NOT NULL,   -- JSON; the values of environ are sealed
    -- What the spec takes, to be summed: millionths of a processor, bytes, devices of all kinds.
    cpu_micros          INTEGER NOT NULL,
    mem                 INTEGER NOT NULL,
    devices             INTEGER NOT NULL,
    created_at          REAL    NOT NULL,   -- seconds since the epoch, like every *_at

    -- Wishes, written by the manager.
    name                TEXT    NOT NULL,
    tag                 TEXT    NOT NULL,
    goal                TEXT    NOT NULL,
    generation          INTEGER NOT NULL,
    forced              INTEGER NOT NULL,
    stop_reason         TEXT    NOT NULL,
    idle_exempt         INTEGER NOT NULL,
    kept_until          REAL,
    opened_ports        TEXT    NOT NULL,   -- JSON
    exit_wished         INTEGER NOT NULL,

    -- Facts, written by the reconciler.
    status              TEXT    NOT NULL,
    status_info         TEXT    NOT NULL,
    failure             TEXT    NOT NULL,
    observed_generation INTEGER NOT NULL,
    place_id            TEXT    NOT NULL,
    endpoints           TEXT    NOT NULL,   -- JSON
    encrypted           INTEGER NOT NULL,
    language            TEXT    NOT NULL,
    kernel_exit         TEXT,               -- JSON
    started_at          REAL,
    ended_at            REAL,
    connected_at        REAL,
    last_active_at      REAL,
    queries             INTEGER NOT NULL,
    cpu_ms              INTEGER NOT NULL,
    usage               TEXT,               -- JSON
    history             TEXT    NOT NULL,   -- JSON
    log_tail            TEXT    NOT NULL,

    -- Counted by the database on every change.
    revision            INTEGER NOT NULL
);

-- A name is unique among its owner's live sessions; a final status frees it.
CREATE UNIQUE INDEX live_names ON sessions (owner, name)
    WHERE status NOT IN ('TERMINATED', 'CANCELLED', 'ERROR');

-- What is alive is counted from here alone, however many sessions ended.
CREATE INDEX live_takings ON sessions (owner, "group", status, cpu_micros, mem, devices)
    WHERE status NOT IN ('TERMINATED', 'CANCELLED', 'ERROR');

-- One row per place: written before its engine is asked to make it, deleted when it is gone.
CREATE TABLE places (
    -- AUTOINCREMENT leaves a trace in sqlite_sequence when the last row is deleted.
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT    NOT NULL UNIQUE,
    engine_id    TEXT    NOT NULL,
    key          TEXT    NOT NULL,
    image_digest TEXT    NOT NULL,
    session_id   TEXT,
    state        TEXT    NOT NULL,
    created_at   REAL    NOT NULL,
    pool_key     TEXT    NOT NULL
);

-- A text sealed by the installation that this file belongs to, to be recognised by.
CREATE TABLE seal (
    sealed TEXT NOT NULL
);

-- "SSMG": a file without it is another program's.
PRAGMA application_id = 1397968199;
PRAGMA user_version = 1;

COMMIT;
