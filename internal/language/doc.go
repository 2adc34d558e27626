// Package language holds no code: its test searches everything that people
// read in this repository for phrases that are not common technical English,
// and names the replacement. The words that the project uses are defined in
// docs/glossary.md.
package language
