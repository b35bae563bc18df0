# Every setting of jupyter_sessmgr with its default. Copy what you change into a file of
# this name in one of the folders that `jupyter --paths` lists under config.
# Written by scripts/document_settings.py.

import sys  # noqa: F401 - some defaults below name it

c = get_config()  # noqa: F821 - given by traitlets

# ------------------------------------------------------------------------------
# SessMgrApp: Compute sessions for Jupyter. Configured in ``jupyter_sessmgr_config.py``.
# ------------------------------------------------------------------------------

# Also serve the session management API at `{base_url}session`, as its document spells it. Turn
# it off when another extension needs that path.
# c.SessMgrApp.document_routes = True

# Who owns the sessions of this server where its identity provider knows no people, as with
# Jupyter's token, and all its kernels. Default: JUPYTERHUB_USER, or the user of the operating
# system. Set it when servers of several people run as one user.
# c.SessMgrApp.owner = ""

# HTTP status for invalid parameters of the session management API. Its document says 401;
# choose 400 when something between client and server takes a 401 for a missing login.
# c.SessMgrApp.invalid_parameters_status = 401

# HTTP status for "session already exists". Choose 400 for clients that were written against an
# upstream server.
# c.SessMgrApp.name_taken_status = 409

# Seconds that the server's start waits for the engine, so that kernelspecs are there for the
# first page. After that the server starts, and they come when the engine answers.
# c.SessMgrApp.open_deadline = 5.0

# ------------------------------------------------------------------------------
# ComputeSessionManager: Compute sessions and what may happen to them. Called by the doors, on one event loop.
# ------------------------------------------------------------------------------

# Where sessions run: "docker", "process", the import path of another engine class, or "auto":
# docker when an engine answers and has an allowed image, else process.
# c.ComputeSessionManager.engine = "auto"

# Folder for the state: database, secrets, home folders. One per host, on a local disk. Default:
# `sessmgr/<host name>` in Jupyter's data folder.
# c.ComputeSessionManager.state_dir = ""

# Seconds that a request to destroy a session waits for its end. The session is ended all the
# same when it takes longer.
# c.ComputeSessionManager.destroy_timeout = 30.0

# Seconds that a stopping server gives sessions which are not durable to end.
# c.ComputeSessionManager.close_timeout = 15.0

# What remembers sessions. Change it only for another kind of database.
# c.ComputeSessionManager.store_class = "jupyter_sessmgr.store.sqlite.SqliteStore"

# ------------------------------------------------------------------------------
# AdmissionControl: Judges requests. Called by the manager, before anything is written.
# ------------------------------------------------------------------------------

# Images that people may ask for, as `repository:tag` or by digest; `*` matches anything. Empty:
# only the images of the presets.
# c.AdmissionControl.allowed_images = []

# Presets by name, each a dictionary with any of: title, description, image, kernel, network
# ("egress" or "isolated"), notebook_folder, home, resources, environ, encryption, listed. They
# are added to the built-in ones "python" and "isolated"; None removes one.
# c.AdmissionControl.presets = {}

# The preset of requests that name none.
# c.AdmissionControl.default_preset = "python"

# Folders that people may mount by name, each `{"path": "/srv/data", "writable": False}`. Nobody
# can name a path.
# c.AdmissionControl.mounts = {}

# How many live sessions one owner may have. Raise it on big machines.
# c.AdmissionControl.max_sessions_per_owner = 20

# How many live sessions there may be in all.
# c.AdmissionControl.max_sessions = 100

# Memory of sessions that ask for none and whose image names no minimum.
# c.AdmissionControl.default_mem = "2g"

# Processors of sessions that ask for none and whose image names no minimum; 0 means no limit.
# c.AdmissionControl.default_cpu = 0.0

# Most memory that one session may have. Lower it to what the machine can give.
# c.AdmissionControl.max_mem = "1024g"

# Most processors that one session may have.
# c.AdmissionControl.max_cpu = 256.0

# Most shared memory (/dev/shm) that one session may have.
# c.AdmissionControl.max_shmem = "16g"

# Most devices, such as GPUs, of one session.
# c.AdmissionControl.max_devices = 8

# Most processes and threads of one session. Raise it for heavily threaded work.
# c.AdmissionControl.pids_limit = 512

# Refuse kernels that cannot encrypt their channels (CurveZMQ), whatever the preset says.
# c.AdmissionControl.encryption_required = False

# ------------------------------------------------------------------------------
# DockerEngine: Runs each session in a hardened container.
# ------------------------------------------------------------------------------

# Address of the engine, such as unix:///run/user/1000/podman/podman.sock. Set it when the
# environment's DOCKER_HOST is not the engine to use. Default: DOCKER_HOST, else
# unix:///var/run/docker.sock.
# c.DockerEngine.docker_host = ""

# Numbers of the user and group that sessions run as, such as 1000:1000. Set it when files in
# mounted folders should belong to somebody else. Default: the server's own, or 1000:1000 when
# the server runs as root.
# c.DockerEngine.user = ""

# Whether an allowed image that is not here is fetched when a session wants it ("missing").
# Leave it when only images that an administrator fetched may run.
# c.DockerEngine.pull = "never"

# How sessions are reached: by the container's own address, or by ports on 127.0.0.1. Set it
# when the choice that is made by itself is wrong. With "published" there are no sessions
# without network access.
# c.DockerEngine.reach = "auto"

# Whether the engine sees this machine's folders, so that they can be mounted. Set it when the
# server itself runs in a container, or in a virtual machine that shares folders.
# c.DockerEngine.host_mounts = "auto"

# Whether the packet filter keeps sessions from services of this machine and from a cloud's
# metadata service, where the server may set it (as root, with iptables). Switch it off when the
# machine's own rules do this already.
# c.DockerEngine.firewall = "auto"

# Size of /tmp in a session; what is there counts as the session's memory. Raise it when large
# packages are built there.
# c.DockerEngine.tmp_size = "1g"

# Size of the home folder of a session that has no lasting one; it counts as the session's
# memory. Raise it when such sessions need more.
# c.DockerEngine.home_size = "1g"

# How many files a session may have open. Raise it for programs that need more; lower it when
# the engine itself may not have so many.
# c.DockerEngine.nofile = 16384

# Size of each log file of a session. Raise it when more of what a session's main process says
# should be kept.
# c.DockerEngine.log_max_size = "1m"

# How many log files of a session are kept. Raise it for the same reason.
# c.DockerEngine.log_max_files = 2

# What the names of the sessions' networks begin with. Change it when such names are taken.
# c.DockerEngine.network_prefix = "sessmgr"

# Container runtime, such as runsc (gVisor), which keeps sessions further from the machine's
# kernel. Default: the engine's own.
# c.DockerEngine.runtime = ""

# Seconds to create a container. Raise it for slow disks.
# c.DockerEngine.create_timeout = 30.0

# Seconds to start a container. Raise it for slow machines.
# c.DockerEngine.start_timeout = 60.0

# Seconds for questions to the engine. Raise it for an engine with thousands of containers.
# c.DockerEngine.inspect_timeout = 10.0

# Seconds to fetch an image. Raise it for slow connections.
# c.DockerEngine.pull_timeout = 3600.0

# Loosens the hardening: capabilities that sessions keep, such as SYS_PTRACE for debuggers.
# Default: none.
# c.DockerEngine.cap_add = []

# Loosens the hardening when false: sessions may change files of their image, and fill the
# engine's disk. Switch it off for images that need it.
# c.DockerEngine.read_only_root = True

# Loosens the hardening when false: programs in a session may gain privileges, as sudo does.
# Switch it off only for images that need it.
# c.DockerEngine.no_new_privileges = True

# Seccomp profile as JSON text instead of the engine's own. Set it for programs whose system
# calls the engine's profile forbids, or to forbid more.
# c.DockerEngine.seccomp = ""

# Loosens the hardening when true: sessions may use swap beyond their memory. Switch it on when
# slow is better than ended.
# c.DockerEngine.swap = False

# Loosens the hardening: size of core dumps. Raise it to debug crashes of kernels.
# c.DockerEngine.core_size = 0

# Seconds between looks at the engine, where it has no event stream. Raise it when an engine is
# slow to answer.
# c.DockerEngine.poll_interval = 2.0

# ------------------------------------------------------------------------------
# ProcessEngine: Runs each session as a process tree of the server's user, in a sandbox where there is one.
# ------------------------------------------------------------------------------

# Local Python environments by the image name that people choose them by, each the path of its
# Python: `{"team/stats": "/opt/stats/bin/python"}`. Add those that people may use; allow them
# in AdmissionControl.allowed_images too.
# c.ProcessEngine.environments = {"jupyter-sessmgr/python": sys.executable}

# Whether sessions run in a sandbox (bubblewrap): "auto" where one works, "required" refuses to
# start any without, "none" never. Choose "required" where a session must not see the server's
# files; "none" when it must see all of the machine.
# c.ProcessEngine.isolation = "auto"

# Seconds from the start of a session's process until it must listen. Raise it where Python lies
# on a slow disk.
# c.ProcessEngine.start_timeout = 30.0

# Seconds between looks at the engine, where it has no event stream. Raise it when an engine is
# slow to answer.
# c.ProcessEngine.poll_interval = 2.0

# ------------------------------------------------------------------------------
# SessionProvisioner: Gives a Jupyter kernel manager a compute session as its kernel's process.
# ------------------------------------------------------------------------------

# Seconds that a kernel may take from the wish to ready channels. Waiting for an image that is
# pulled does not count. Raise it for slow engines or heavy images.
# c.SessionProvisioner.launch_timeout = 60.0

# ------------------------------------------------------------------------------
# MemoryStore: Keeps the promises of `Store` for as long as the process lives, and touches no disk.
# ------------------------------------------------------------------------------

# For how many days a session that ended can still be looked up. Raise it to keep a longer
# history; its files and containers are gone in any case.
# c.MemoryStore.keep_ended_days = 7.0

# How many sessions that ended are kept at most; older ones are forgotten first. Lower it when
# sessions come and go by the thousand: each takes up to 64 KiB of memory.
# c.MemoryStore.keep_ended_most = 500

# ------------------------------------------------------------------------------
# SessionReconciler: Does what `decide` says until it says that nothing is left to do.
# ------------------------------------------------------------------------------

# Seconds from the start of a session's agent until its kernel must be ready. Pulling an image
# does not count. Raise it for images whose kernels load a lot.
# c.SessionReconciler.boot_timeout = 60.0

# Seconds that a session gets to end by itself before it is killed. Raise it when kernels need
# time to save their work.
# c.SessionReconciler.stop_grace = 3.0

# Seconds between full comparisons of what should exist with what does. Lower it to notice
# outside interference sooner where the engine has no events.
# c.SessionReconciler.sweep_interval = 15.0

# How often in two minutes a kernel may die by itself and be started again before its session is
# given up.
# c.SessionReconciler.max_deaths = 5

# How many sessions are worked on at the same time. Lower it when many simultaneous starts
# overwhelm the engine.
# c.SessionReconciler.workers = 16

# ------------------------------------------------------------------------------
# SqliteStore: Keeps rows in ``sessions.db``.
# ------------------------------------------------------------------------------

# For how many seconds a write waits, twice, for another program that holds the database. Raise
# it when backups or virus scanners hold the file for longer.
# c.SqliteStore.lock_wait = 5.0

# For how many days a session that ended can still be looked up. Raise it to keep a longer
# history; its files and containers are gone in any case.
# c.SqliteStore.keep_ended_days = 7.0

# How many sessions that ended are kept at most; older ones are forgotten first. Lower it when
# sessions come and go by the thousand: each takes up to 64 KiB of memory.
# c.SqliteStore.keep_ended_most = 500
