"""May it be? What was asked becomes what will be, or an error that says why not."""

from jupyter_sessmgr.manager.admission.control import AdmissionControl, Admitted

__all__ = ["AdmissionControl", "Admitted"]
