package main

// Where links lead: what every deployment here serves on the operator's machine, and a
// test compares. Where yours is elsewhere, type it into the variables of the dashboard
// Device, or change it here and run make dashboards.
const (
	apiURL     = "http://127.0.0.1:8080"
	temporalUI = "http://127.0.0.1:8233/namespaces/default"
)
