"""Sessions of a hub's people: what each of them may have."""

c = get_config()  # noqa: F821 - Jupyter has it

# Or "docker": then each of them needs an engine of their own, see the page.
c.ComputeSessionManager.engine = "process"

c.AdmissionControl.max_sessions_per_owner = 3
c.AdmissionControl.max_mem = "4g"

# A week after their last use, durable sessions end.
c.IdleCuller.durable_idle_timeout = 7 * 86400
