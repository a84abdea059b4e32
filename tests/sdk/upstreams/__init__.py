"""Scripted upstreams, one for each dialect, as strict as the providers: what they would refuse is refused here."""
