package device

import "testing"

func TestStatusWords(t *testing.T) {
	words := StatusWords{Online: []string{"online", "Boot"}, Offline: []string{"offline", "LOST"}}
	for _, test := range []struct {
		status any
		want   string
	}{
		{"online", Online}, {"ONLINE", Online}, {"boot", Online},
		{"offline", Offline}, {"OFFLINE", Offline}, {"Offline", Offline}, {"lost", Offline},
		{"maintenance", ConnectionUnknown}, {"", ConnectionUnknown}, {"off", ConnectionUnknown}, {" offline", ConnectionUnknown},
		{nil, ConnectionUnknown}, {true, ConnectionUnknown}, {1.0, ConnectionUnknown},
	} {
		if got := words.Connection(test.status); got != test.want {
			t.Errorf("status %v: %s, want %s", test.status, got, test.want)
		}
	}
	for payload, want := range map[string]bool{
		"offline": true, " Offline\n": true, `"OFFLINE"`: true, `{"status":"offline",`: true, `{"status": "lost", "seq": 0}`: true,
		"": false, "online": false, `{"status":"boot"`: false, `offline at noon`: false, `{"note":"offlined"}`: false,
	} {
		if words.OfflineIn(payload) != want {
			t.Errorf("%q has a word for offline: %v", payload, !want)
		}
	}
}

func TestWhatAMessageSays(t *testing.T) {
	message := func(channel Channel, status, connection string) Message {
		return Message{Channel: channel, Data: map[string]any{"status": status}, Connection: connection}
	}
	for _, test := range []struct {
		m     Message
		says  string
		alive bool
	}{
		{message(ChannelStatus, "OFFLINE", Offline), Offline, false},
		{message(ChannelStatus, "boot", Online), Online, true},
		{message(ChannelStatus, "maintenance", ConnectionUnknown), ConnectionUnknown, true},
		{message(ChannelStatus, "offline", ""), Offline, false}, // of a source that knows no words
		{message(ChannelStatus, "OFFLINE", ""), Online, true},
		{message(ChannelTelemetry, "offline", ""), "", true},
	} {
		if says, alive := test.m.Says(), test.m.Alive(); says != test.says || alive != test.alive {
			t.Errorf("%+v says %q, alive %v", test.m, says, alive)
		}
	}
}
