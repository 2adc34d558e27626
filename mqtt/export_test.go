package mqtt

// NewPublisherOver makes a publisher over the connections of a dialer.
var NewPublisherOver = newPublisher
