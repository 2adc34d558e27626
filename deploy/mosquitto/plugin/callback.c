//go:build mosquitto_plugin

// What Mosquitto calls. Go can't give out pointers to its functions, nor call a
// function with a variable number of arguments.

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>

#include "_cgo_export.h"

static int check(int event, void *data, void *user) {
	struct mosquitto_evt_basic_auth *login = data;
	(void)event;
	(void)user;
	return devicetwin_check((char *)mosquitto_client_id(login->client), login->username, login->password);
}

int devicetwin_register(mosquitto_plugin_id_t *id) {
	return mosquitto_callback_register(id, MOSQ_EVT_BASIC_AUTH, check, NULL, NULL);
}

int devicetwin_unregister(mosquitto_plugin_id_t *id) {
	return mosquitto_callback_unregister(id, MOSQ_EVT_BASIC_AUTH, check, NULL);
}

void devicetwin_log(int level, const char *text) { mosquitto_log_printf(level, "%s", text); }

int mosquitto_plugin_version(int count, const int *versions) {
	for (int i = 0; i < count; i++) {
		if (versions[i] == 5) {
			return 5;
		}
	}
	return -1;
}

int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **user, struct mosquitto_opt *options, int count) {
	(void)user;
	return devicetwin_init(id, options, count);
}

int mosquitto_plugin_cleanup(void *user, struct mosquitto_opt *options, int count) {
	(void)user;
	(void)options;
	(void)count;
	return devicetwin_end();
}
