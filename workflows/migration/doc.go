// Package migration moves the devices of a fleet to another version of their model by a plan, and
// keeps bridges informed of it.
//
//	model-moves           of which models devices are, or were, moved: in the workflow's memo
//	model-migration:<id>  one migration: it goes through the devices that a query finds
//
// # Bridges
//
// A bridge leaves out a message because of another one that the device's workflow was given, while
// it ran one model. So bridges have to know of a migration before the first device is moved. They
// read the memo of model-moves every few seconds, for which no worker is needed. One that could not
// for KnownFor leaves nothing out. So a migration announces itself, waits for longer than that, and
// begins; the last thing it does is to say that it is over. See bridge/ingest and docs/adr/0085.
//
// # Devices
//
// The devices of a migration are listed a page at a time, by their model's hash and the query; each
// is moved by one operation of its workflow, at a bounded rate. What is done twice, because an
// activity is repeated, is one operation of the device, by its id. When all have had their turn, the
// list is read again, until nobody is found that was not refused: search attributes are some time
// behind, and a device may have been busy. A device that is refused stays as it was; the report
// counts the reasons, and names the first devices.
//
// # Bounds
//
// See the constants of this package.
package migration
