// Package pki is a certificate authority in a folder, for a broker that knows
// its devices by their certificates:
//
//	a, err := pki.Open("data/tls", time.Now())        // made at the first start
//	server, err := a.Server([]string{"127.0.0.1"}, time.Now())
//	pump, err := a.Device("pump-1", 3650*24*time.Hour, time.Now())
//
// A device's certificate has the device's id as its common name; nothing else in
// it counts. All keys are ECDSA on P-256, which small devices can afford.
//
// # Files
//
// All are PEM. Keys are readable by their owner alone (0600), as is the folder
// (0700); each file is written whole or not at all.
//
//	ca.pem, ca.key               the authority; devices need ca.pem
//	server.pem, server.key       issued again when they expire or a name is missing
//	devices/{id}.pem, {id}.key   what Device issued, for copying to the device
//
// Who has ca.key can be any device. An installation that issues certificates
// elsewhere needs no folder of this kind: give the broker its files instead.
package pki
