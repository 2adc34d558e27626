//go:build mosquitto_plugin

// Package main is an authentication plugin for Mosquitto 2.0: devices log in
// with the credentials that the workers gave them. It reads the folder that the
// workers write, through the same code, so that older credentials of a device
// stay good until a newer one has been used (docs/adr/0002-credentials.md), which
// a password file cannot do.
//
//	go build -tags mosquitto_plugin -buildmode=c-shared -o devicetwin-auth.so ./deploy/mosquitto/plugin
//
// It needs a C compiler and Mosquitto's headers (Debian: mosquitto-dev). In
// mosquitto.conf:
//
//	plugin /usr/lib/devicetwin/devicetwin-auth.so
//	plugin_opt_credentials /var/lib/devicetwin/credentials
//	plugin_opt_services /run/secrets/mqtt/passwords
//
// Mosquitto calls it from its one thread; a check reads two small files.
package main

/*
#cgo LDFLAGS: -Wl,--unresolved-symbols=ignore-all
#include <stdlib.h>
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>

// callback.c
int devicetwin_register(mosquitto_plugin_id_t *id);
int devicetwin_unregister(mosquitto_plugin_id_t *id);
void devicetwin_log(int level, const char *text);
*/
import "C"

import (
	"unsafe"

	"devicetwin/deploy/mosquitto/login"
)

// What the plugin was started with; Mosquitto loads a plugin once.
var (
	identifier *C.mosquitto_plugin_id_t
	logins     *login.Checker
)

//export devicetwin_init
func devicetwin_init(id *C.mosquitto_plugin_id_t, options *C.struct_mosquitto_opt, count C.int) C.int {
	var settings login.Settings
	for _, o := range unsafe.Slice(options, int(count)) {
		settings = append(settings, login.Setting{Name: C.GoString(o.key), Value: C.GoString(o.value)})
	}
	checker, err := login.New(settings)
	if err != nil {
		tell(C.MOSQ_LOG_ERR, err.Error())
		return C.MOSQ_ERR_INVAL
	}
	identifier, logins = id, checker
	return C.devicetwin_register(id)
}

//export devicetwin_check
func devicetwin_check(client, username, password *C.char) C.int {
	if username == nil || password == nil {
		return C.MOSQ_ERR_AUTH
	}
	if err := logins.Check(C.GoString(client), C.GoString(username), C.GoString(password)); err != nil {
		tell(C.MOSQ_LOG_NOTICE, err.Error())
		return C.MOSQ_ERR_AUTH
	}
	return C.MOSQ_ERR_SUCCESS
}

//export devicetwin_end
func devicetwin_end() C.int { return C.devicetwin_unregister(identifier) }

func tell(level C.int, text string) {
	c := C.CString("devicetwin: " + text)
	defer C.free(unsafe.Pointer(c))
	C.devicetwin_log(level, c)
}

func main() {} // never called: -buildmode=c-shared asks for it
