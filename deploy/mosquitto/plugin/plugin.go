//go:build mosquitto_plugin

// Package main is the plugin for Mosquitto 2.0 that decides who may connect, and
// which topics a client may use: see package auth. It reads the credentials that the
// workers write, in a folder or in PostgreSQL, through the same code, so that older credentials of a device
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
//	plugin_opt_services /run/secrets/mqtt/accounts
//
// The other options are those of login.New. Clients without a name are left to
// allow_anonymous. What it does not allow is left to an acl_file, if there is one;
// else Mosquitto denies it. The exception are shared subscriptions: see devicetwin_permit.
//
// Mosquitto calls it from its one thread; a login reads two small files, or a row of
// the database, and what a client may do needs neither. The sessions of a device
// whose credentials are revoked end at once.
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
	"context"
	"fmt"
	"unsafe"

	"devicetwin/auth"
	"devicetwin/deploy/mosquitto/login"
	"devicetwin/mqtt"
)

// What the plugin was started with; Mosquitto loads a plugin once.
var (
	identifier *C.mosquitto_plugin_id_t
	checker    *login.Checker
)

//export devicetwin_init
func devicetwin_init(id *C.mosquitto_plugin_id_t, options *C.struct_mosquitto_opt, count C.int) C.int {
	var settings login.Settings
	for _, o := range unsafe.Slice(options, int(count)) {
		settings = append(settings, login.Setting{Name: C.GoString(o.key), Value: C.GoString(o.value)})
	}
	c, err := login.New(settings)
	if err != nil {
		tell(C.MOSQ_LOG_ERR, err.Error())
		return C.MOSQ_ERR_INVAL
	}
	identifier, checker = id, c
	return C.devicetwin_register(id)
}

// devicetwin_certificates reports whether the names in certificates count.
//
//export devicetwin_certificates
func devicetwin_certificates() C.int {
	if checker.Certificates {
		return 1
	}
	return 0
}

// devicetwin_login decides whether a client may connect. der is its certificate, of
// size bytes, if it has one. name becomes what Mosquitto has to call it, which the
// caller frees: NULL for a client that names nobody.
//
//export devicetwin_login
func devicetwin_login(client, username, password *C.char, der *C.uchar, size C.int, name **C.char) C.int {
	l := auth.Login{Client: C.GoString(client), Username: C.GoString(username), Password: C.GoString(password)}
	if size > 0 {
		var err error
		if l.Certificate, err = auth.CommonName(C.GoBytes(unsafe.Pointer(der), size)); err != nil {
			tell(C.MOSQ_LOG_NOTICE, err.Error())
			return C.MOSQ_ERR_AUTH
		}
	}
	if l.Certificate == "" && auth.Name(l.Username) == "" {
		return C.MOSQ_ERR_PLUGIN_DEFER
	}
	who, err := checker.Login(context.Background(), l)
	if err != nil {
		tell(C.MOSQ_LOG_NOTICE, err.Error())
		return C.MOSQ_ERR_AUTH
	}
	*name = C.CString(who.String())
	return C.MOSQ_ERR_SUCCESS
}

// devicetwin_permit decides about one publication, subscription or delivery. With an
// acl_file, Mosquitto takes every subscription that it is asked about, and delivers what
// may be read. Of a shared one, it would choose who gets a message, and then drop what
// that client may not read, which the others of the group lose.
//
//export devicetwin_permit
func devicetwin_permit(username, topic *C.char, access C.int) C.int {
	who, ok := checker.Known(C.GoString(username), "")
	filter := C.GoString(topic)
	switch {
	case access == C.MOSQ_ACL_UNSUBSCRIBE:
		return C.MOSQ_ERR_SUCCESS
	case !ok:
	case access == C.MOSQ_ACL_WRITE && checker.MayPublish(who, filter),
		access != C.MOSQ_ACL_WRITE && checker.MaySubscribe(who, filter):
		return C.MOSQ_ERR_SUCCESS
	}
	if access == C.MOSQ_ACL_SUBSCRIBE && mqtt.Shared(filter) {
		return C.MOSQ_ERR_ACL_DENIED
	}
	return C.MOSQ_ERR_PLUGIN_DEFER
}

//export devicetwin_tick
func devicetwin_tick() {
	for _, name := range checker.Revoked() {
		c := C.CString(name)
		// Its last will says to whoever follows that it is offline.
		status := C.mosquitto_kick_client_by_username(c, true)
		C.free(unsafe.Pointer(c))
		if status == C.MOSQ_ERR_SUCCESS {
			tell(C.MOSQ_LOG_NOTICE, fmt.Sprintf("ended the sessions of device %q, whose credentials were revoked", name))
		}
	}
}

//export devicetwin_end
func devicetwin_end() C.int { return C.devicetwin_unregister(identifier) }

func tell(level C.int, text string) {
	c := C.CString("devicetwin: " + text)
	defer C.free(unsafe.Pointer(c))
	C.devicetwin_log(level, c)
}

func main() {} // never called: -buildmode=c-shared asks for it
