"""Procore and SmartBarrel servers to try things on, and the demo data."""
