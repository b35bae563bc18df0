"""Who uses which session, how much, and for how long still."""
