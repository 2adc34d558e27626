package discovery

import "container/list"

// kept are the last payloads of topics, for configs that come later.
type kept struct {
	limits keptLimits
	all    map[string]*list.Element
	order  list.List // of *keptPayload, the one that was set the longest time ago first
	bytes  int
}

type keptLimits struct {
	topics  int
	bytes   int // of topics and payloads
	payload int // bytes of one; a longer one is not kept
}

type keptPayload struct {
	topic   string
	payload []byte
}

// set takes over the last payload of a topic. An empty one clears it, as in a broker.
func (k *kept) set(topic string, payload []byte) {
	e := k.all[topic]
	if len(payload) == 0 || len(payload) > k.limits.payload {
		if e != nil {
			k.remove(e)
		}
		return
	}
	if e == nil {
		e = k.order.PushBack(&keptPayload{topic: topic})
		k.all[topic] = e
		k.bytes += len(topic)
	}
	p := e.Value.(*keptPayload)
	k.bytes += len(payload) - len(p.payload)
	p.payload = append(p.payload[:0], payload...)
	k.order.MoveToBack(e)
	for len(k.all) > k.limits.topics || k.bytes > k.limits.bytes {
		k.remove(k.order.Front())
	}
}

func (k *kept) remove(e *list.Element) {
	p := k.order.Remove(e).(*keptPayload)
	delete(k.all, p.topic)
	k.bytes -= len(p.topic) + len(p.payload)
}

func (k *kept) get(topic string) *keptPayload {
	if e := k.all[topic]; e != nil {
		return e.Value.(*keptPayload)
	}
	return nil
}
