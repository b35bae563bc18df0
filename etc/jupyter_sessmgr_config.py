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

# User names that may do what only admins may, such as exempt a session from its limits, where
# the identity provider tells people apart. Key pairs say it of themselves; whoever holds the
# token of a server of one person is its admin.
# c.SessMgrApp.admin_users = set()

# Host names, with the port where clients give one, that requests may be signed for (with key
# pairs), besides the one that arrives. Set it to the public name when a proxy changes the Host
# header. Forwarded headers are never believed.
# c.SessMgrApp.accepted_hosts = []

# HTTP status for invalid parameters of the session management API. Its document says 401;
# choose 400 when something between client and server takes a 401 for a missing login.
# c.SessMgrApp.invalid_parameters_status = 401

# HTTP status for "session already exists". Choose 400 for clients that were written against an
# upstream server.
# c.SessMgrApp.name_taken_status = 409

# Seconds that the server's start waits for an engine that does not answer. After that the
# server starts, and kernels are listed when the engine answers, or is given up; open browser
# tabs may have dropped theirs by then. Lower it only where nothing lasts.
# c.SessMgrApp.open_deadline = 12.0

# ------------------------------------------------------------------------------
# ComputeSessionManager: Compute sessions and what may happen to them. Called by the doors, on one event loop.
# ------------------------------------------------------------------------------

# Seconds that a request to suspend or resume a session waits for it. The session is suspended
# or resumed all the same when it takes longer.
# c.ComputeSessionManager.resume_timeout = 30.0

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

# How many live sessions one owner may have, waiting ones included. Raise it on big machines.
# c.AdmissionControl.max_sessions_per_owner = 20

# How many live sessions there may be in all, waiting ones included.
# c.AdmissionControl.max_sessions = 100

# Groups by name, each a dictionary with any of: max_sessions, max_running, max_pending,
# total_cpu, total_mem, total_devices (of the whole group); max_cpu, max_mem, max_shmem,
# max_devices (of one session); allowed_images and presets (instead of the server's); owners
# (patterns of who may use it). Once there is one, a group that is not listed is refused; so
# list "default", the group of those who name none, as kernels picked in JupyterLab do.
# c.AdmissionControl.group_limits = {}

# How many sessions of one owner may run at once; more of them wait. Set it where people should
# be able to queue work.
# c.AdmissionControl.max_running_per_owner = None

# How many sessions may run at once in all; more of them wait.
# c.AdmissionControl.max_running = None

# How many sessions of one owner may be PENDING; more are told to come back (429). Every session
# is PENDING for a moment, so do not set it below the largest burst.
# c.AdmissionControl.max_pending_per_owner = None

# How many sessions may be PENDING in all: the length of the queue. More are told to come back
# (429).
# c.AdmissionControl.max_pending = 1000

# Most processors of one owner's live sessions together. Sessions without a limit on processors
# count as none; set default_cpu when that matters.
# c.AdmissionControl.max_cpu_per_owner = None

# Most memory of one owner's live sessions together.
# c.AdmissionControl.max_mem_per_owner = None

# Most devices, such as GPUs, of one owner's live sessions together.
# c.AdmissionControl.max_devices_per_owner = None

# Most processors of all live sessions together. What the machine has is looked after by the
# queue; this is for promising less.
# c.AdmissionControl.total_cpu = None

# Most memory of all live sessions together; see total_cpu.
# c.AdmissionControl.total_mem = None

# Most devices of all live sessions together; see total_cpu.
# c.AdmissionControl.total_devices = None

# ------------------------------------------------------------------------------
# StartQueue: Holds sessions back while the host is full, or while too many start at once.
# ------------------------------------------------------------------------------

# How many sessions may be on their way up at the same time; fetching an image does not count.
# Lower it when simultaneous starts overwhelm the machine.
# c.StartQueue.max_starting_at_once = 10

# How much memory may be given away, as a multiple of what the host has; what does not fit
# waits. None: 4 where the engine holds sessions to their limits, because most use a small part
# of theirs, and without end where it does not. Set it to 1.0 where everybody must be able to
# use all of theirs at once.
# c.StartQueue.memory_overcommit = None

# The same for processors; None: 16 where the engine holds sessions to their limits. Sessions
# without a limit on processors count as none.
# c.StartQueue.cpu_overcommit = None

# For how many seconds others may pass a session that stands first in its owner's line and does
# not fit. After that, what comes free is kept for it. Lower it when large sessions wait too
# long.
# c.StartQueue.reserve_after = 300.0

# ------------------------------------------------------------------------------
# WarmPool: Keeps booted sessions ready that nobody asked for yet. Made by the manager, as its `pool`.
# ------------------------------------------------------------------------------

# How many spares are kept ready, by the name of a preset or an image, such as `{"python": 3,
# "isolated": 1}`; an image's number counts before its preset's, 0 means none. Raise a number
# where many people start kernels at the same time. Each spare takes the memory of an idle
# kernel.
# c.WarmPool.sizes = {}

# How many spares the default preset has, once it was used, where `sizes` does not name it. 0
# turns them off; do that on machines with little memory.
# c.WarmPool.default_size = 1

# Part of the machine's memory that must be free for there to be spares; with less, all are
# removed. Raise it where other programs need memory at short notice.
# c.WarmPool.min_free_memory = 0.15

# Seconds after the last start until a spare is made. Raise it where the first cells of a new
# kernel should have the machine for themselves for longer.
# c.WarmPool.refill_delay = 2.0

# How many spares are made at the same time. Raise it on machines with many processors.
# c.WarmPool.refill_at_once = 1

# ------------------------------------------------------------------------------
# IdleCuller: Applies the limits of time. Made by the manager, as its `idle`.
# ------------------------------------------------------------------------------

# Seconds after which an interactive session ends that nobody uses: its last client left and its
# kernel is idle. Lower it where resources are short; 0 means never.
# c.IdleCuller.idle_timeout = 3600.0

# The same for durable sessions. By default they never end by themselves, since they are made to
# be found again. Set it, to days, where people forget them.
# c.IdleCuller.durable_idle_timeout = 0.0

# Seconds after which a durable session that nobody uses is suspended, where the engine can: it
# keeps its memory and uses no processor until it is used again. 0 means never. Set it where
# idle kernels still keep processors busy.
# c.IdleCuller.suspend_timeout = 0.0

# Seconds after which any session ends, in use or not. 0 means never. Set it where nobody may
# hold resources for longer.
# c.IdleCuller.max_lifetime = 0.0

# Seconds for which people may ask, each time, that a session is kept though nobody uses it;
# `max_lifetime` ends it all the same. Raise it where work is left over a weekend; 0 means that
# they may not.
# c.IdleCuller.max_extension = 86400.0

# Seconds after which an interactive session ends that nobody ever used. Raise it for programs
# that make sessions long before they use them; 0 means never.
# c.IdleCuller.never_connected_timeout = 300.0

# Seconds after which an interactive session ends whose server crashed or was killed, counted
# from the start of the next one: time to save what is in it. One that stops in an orderly way
# ends its interactive sessions itself. 0 means at once.
# c.IdleCuller.orphan_timeout = 60.0

# Seconds before the end of a session when people are told of it, but never more than half of
# the limit. Raise it when they need longer to save their work; 0 means that they are not told.
# c.IdleCuller.warning_before = 300.0

# Seconds between looks at all sessions; limits are kept as exactly as this. Raise it for
# thousands of sessions.
# c.IdleCuller.check_interval = 5.0

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

# Whether a kernel that is picked in a Jupyter server goes on when that server stops or crashes,
# and is there again under its id when it starts. Turn it off where kernels are to end with
# their server, as local ones do. A kernelspec's own `durable` goes first.
# c.SessionProvisioner.durable = True

# Seconds that a kernel may take from the wish to ready channels. Waiting in the queue or for an
# image that is pulled does not count. Raise it for slow engines or heavy images.
# c.SessionProvisioner.launch_timeout = 60.0

# ------------------------------------------------------------------------------
# AttachApi: The HPC Pack dialect's settings. Made by the extension's app.
# ------------------------------------------------------------------------------

# `host:port` that Attach names as BrokerNode: where the session's kernel is reached. Default:
# the host that the client itself asked. Set it when clients ask by a proxy whose name is of no
# use to whom they pass it on. Never with a scheme or a path.
# c.AttachApi.broker_node = ""

# Milliseconds that Attach names as ServiceOperationTimeout: how long clients should wait for
# one answer of a session. Raise it when your cells run for more than a day.
# c.AttachApi.operation_timeout = 86400000

# The name that Get Clusters answers. Clients put it into later paths, where any name is
# accepted; change it when people see it and know your server by another one.
# c.AttachApi.cluster = "jupyter"

# XML namespace of faults. Change it only for a client that was written against the letter of
# the document, where it begins with `https`.
# c.AttachApi.fault_namespace = "http://schemas.microsoft.com/HPCS2008R2/common"

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
# OutputJournal: Reads the journals of running sessions. Called by the doors.
# ------------------------------------------------------------------------------

# Bytes on disk that a session's output journal may take, such as 128m. When it is full the
# oldest text is dropped first, and readers are told how much. Raise it for long runs with much
# output; in containers it counts as the session's memory, so no more than a sixteenth of that
# is used.
# c.OutputJournal.max_bytes = "32m"

# Seconds after which output is dropped from a session's journal. 0 keeps it as long as there is
# room. Set it where output must not be kept longer than needed.
# c.OutputJournal.max_age = 0.0

# ------------------------------------------------------------------------------
# ServiceProxy: How services of sessions are shown. Read by the proxy's handlers.
# ------------------------------------------------------------------------------

# What keeps a service's pages from acting as the user on this Jupyter server. "subdomain": a
# host of their own. "sandbox": the browser gives them an origin of nobody; apps that need
# storage or cookies do not work so. "same-origin": nothing keeps them; choose it only where
# everything that runs in sessions is trusted. "auto": a host of their own where there is one
# (`host_suffix`, or a browser beside the server), else the same origin for trusted definitions
# (the built-in jupyter, jupyterlab and tensorboard, and your own that say so), else the
# sandbox.
# c.ServiceProxy.isolation = "auto"

# The same for single services, by name, such as `{"tensorboard": "same-origin"}`: for apps that
# need more, or that you trust less, than the others.
# c.ServiceProxy.service_isolation = {}

# What the host names of services end with, such as `apps.example.net`, or with the port that
# browsers use. Needs a wildcard name in the DNS and a wildcard certificate, both leading where
# Jupyter's own name leads, and must be below another registered domain than Jupyter's name. Set
# it wherever browsers reach Jupyter by a public name.
# c.ServiceProxy.host_suffix = ""

# Whether any service's pages may be shown at Jupyter's own origin. Turn it off where people run
# in sessions what they do not trust; some apps then work only with a `host_suffix`.
# c.ServiceProxy.allow_same_origin = True

# Names of services whose traffic does not count as activity of their session. Add those whose
# pages ask for news by themselves, so that an open tab keeps no session alive.
# c.ServiceProxy.passive_services = set()

# Seconds that a request waits for its service to start. A browser is shown a page that tries
# again instead. Raise it for scripts that ask for slow services.
# c.ServiceProxy.start_patience = 30.0

# Seconds that a service may take until it begins to answer. Raise it for services that compute
# for long before they answer.
# c.ServiceProxy.response_timeout = 600.0

# Seconds that a client of this Jupyter server may take for a request's headers, and that its
# connection is kept when it asks for nothing. Lower it where strangers reach the server without
# a proxy in front; raise it above the time for which such a proxy keeps connections.
# c.ServiceProxy.head_timeout = 120.0

# Requests and websockets that the services of one session may have open at once; more are
# answered 429. Raise it for apps with many viewers, up to the 1,000 streams that a session's
# agent takes.
# c.ServiceProxy.max_connections_per_session = 256

# The same for all sessions together. Each takes up to two open files and a megabyte of the
# server, so raise it together with `ServerApp.min_open_files_limit`; lower it on small
# machines.
# c.ServiceProxy.max_connections = 1024

# ------------------------------------------------------------------------------
# SessionFiles: Lists, reads and writes. Called by the doors.
# ------------------------------------------------------------------------------

# Bytes that one upload into a session may have, such as 512m or 4g. Lower it where sessions
# share a small disk.
# c.SessionFiles.max_upload_size = "1g"

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
# given up. Each start but the first waits twice as long as the one before.
# c.SessionReconciler.max_deaths = 5

# How many sessions are worked on at the same time. Lower it when many simultaneous starts
# overwhelm the engine.
# c.SessionReconciler.workers = 16

# ------------------------------------------------------------------------------
# SessionServices: Starts and stops services, and opens streams to them. Called by the doors.
# ------------------------------------------------------------------------------

# How services are started: a dict by service name of dicts with `command` (a list of words,
# never a shell line) and, where needed, `env`, `prestart`, `allowed_arguments`,
# `default_arguments`, `positional`, `allowed_envs`, `url_template`, `authorization` (the header
# that it takes from its user, `{token}` filled in), `timeout` (seconds) and `trusted` (its
# pages may act as the user on this server; leave it out unless you wrote them). Add the apps of
# your images; an entry goes before the image's own and the built-in one.
# c.SessionServices.definitions = {}

# Seconds that a request waits for a service to start. Raise it with the `timeout` of slow
# services.
# c.SessionServices.start_timeout = 90.0

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

# ------------------------------------------------------------------------------
# UsageMeter: Knows what running sessions use, from memory. Made by the manager, as its `meter`.
# ------------------------------------------------------------------------------

# Seconds between two questions to the agent of each running session about what it uses. Raise
# it for hundreds of sessions on a small server.
# c.UsageMeter.interval = 5.0

# How many agents are asked at the same time. Raise it when sessions are far away, so that
# answers take long.
# c.UsageMeter.at_once = 8
