//go:build mosquitto_plugin

// What Mosquitto calls. Go can't give out pointers to its functions, nor call a
// function with a variable number of arguments.

#include <stdlib.h>
#include <string.h>

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>

#include "_cgo_export.h"

// Of OpenSSL, which Mosquitto is linked with; declared here, so that its headers are
// not needed.
int i2d_X509(void *certificate, unsigned char **der);
void X509_free(void *certificate);
void CRYPTO_free(void *memory, const char *file, int line);

// login asks whether a client may connect, and lets Mosquitto call it by the name that
// it was found to have.
static int login(int event, void *data, void *user) {
	struct mosquitto_evt_basic_auth *client = data;
	unsigned char *der = NULL;
	int size = 0;
	char *name = NULL;
	(void)event;
	(void)user;
	void *certificate = devicetwin_certificates() ? mosquitto_client_certificate(client->client) : NULL;
	if (certificate != NULL) {
		size = i2d_X509(certificate, &der);
		X509_free(certificate);
		if (size < 0) {
			return MOSQ_ERR_AUTH;
		}
	}
	int answer = devicetwin_login((char *)mosquitto_client_id(client->client), client->username, client->password, der, size, &name);
	if (der != NULL) {
		CRYPTO_free(der, __FILE__, __LINE__);
	}
	if (answer != MOSQ_ERR_AUTH && (name == NULL || client->username == NULL || strcmp(name, client->username) != 0) &&
	    mosquitto_set_username(client->client, name) != MOSQ_ERR_SUCCESS) {
		answer = MOSQ_ERR_AUTH;
	}
	free(name);
	return answer;
}

static int permit(int event, void *data, void *user) {
	struct mosquitto_evt_acl_check *question = data;
	(void)event;
	(void)user;
	return devicetwin_permit((char *)mosquitto_client_username(question->client), (char *)question->topic, question->access);
}

// Mosquitto calls this about ten times a second.
static int tick(int event, void *data, void *user) {
	(void)event;
	(void)data;
	(void)user;
	devicetwin_tick();
	return MOSQ_ERR_SUCCESS;
}

int devicetwin_register(mosquitto_plugin_id_t *id) {
	int result = mosquitto_callback_register(id, MOSQ_EVT_BASIC_AUTH, login, NULL, NULL);
	if (result != MOSQ_ERR_SUCCESS) {
		return result;
	}
	result = mosquitto_callback_register(id, MOSQ_EVT_ACL_CHECK, permit, NULL, NULL);
	if (result != MOSQ_ERR_SUCCESS) {
		return result;
	}
	return mosquitto_callback_register(id, MOSQ_EVT_TICK, tick, NULL, NULL);
}

int devicetwin_unregister(mosquitto_plugin_id_t *id) {
	mosquitto_callback_unregister(id, MOSQ_EVT_TICK, tick, NULL);
	mosquitto_callback_unregister(id, MOSQ_EVT_ACL_CHECK, permit, NULL);
	return mosquitto_callback_unregister(id, MOSQ_EVT_BASIC_AUTH, login, NULL);
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
