// Package discovery learns from Home Assistant's MQTT discovery messages what is on which topics: of
// which device a state is, under which name, and what its payload means. It knows nothing of the service's
// messages: package wire/dialect makes these of what a [Learner] says.
//
// A config is a message on {prefix}/{component}/[{node}/]{object}/config, or for several components
// on {prefix}/device/[{node}/]{object}/config. What it says holds until another one comes on the same
// topic, or an empty one. Its entities are those of a device: configs that have an identifier or a
// connection in common are of one.
//
// What is learned does not depend on the order of configs, but for what they say last. States
// that come before their config are kept, as the broker keeps retained ones, and read when it
// comes: as what the state was, not as something that happens.
//
// Everything that configs make is bounded: see limits.
//
// The protocol is that of Home Assistant's documentation of its integration MQTT, and of its code,
// homeassistant/components/mqtt (2026.2.3).
package discovery
