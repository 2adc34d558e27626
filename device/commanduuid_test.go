package device

import "testing"

func TestCommandUUID(t *testing.T) {
	// RFC 9562, appendix A.4: the namespace of DNS names.
	dns := [16]byte{0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}
	if got, want := uuid5(dns, "www.example.com"), "2ed6657d-e927-568b-95e1-2665a8aea6a2"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// What devices were sent under an earlier version has to be known again.
	if got, want := CommandUUID("0f3a-valve-1"), "8377b75f-9780-551b-8ae0-07d4faf78545"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
