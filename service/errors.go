package service

// ConfigError reports settings, or files that they name, with which nothing can
// be started. Nothing was started.
type ConfigError struct{ Err error }

// Error implements error.
func (e *ConfigError) Error() string { return e.Err.Error() }

// Unwrap gives what is wrong: source.Faults for faults of files.
func (e *ConfigError) Unwrap() error { return e.Err }
