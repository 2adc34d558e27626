package chaos

import "fmt"

// inWords is the part in a sentence.
func inWords(p Part) string {
	switch p {
	case Temporal:
		return "Temporal"
	case InfluxDB:
		return "InfluxDB"
	case KafkaBroker:
		return "one of three brokers of Kafka"
	case Controller:
		return "the broker of Kafka that is the controller"
	case Everybody:
		return "everybody"
	}
	return "the " + string(p)
}

// String says what happens.
func (f Fault) String() string {
	times := fmt.Sprintf("%v", f.Lasts)
	if f.Rounds > 1 {
		times = fmt.Sprintf("up to %d times %v", f.Rounds, f.Lasts)
	}
	if f.Rolling {
		way := "told to end"
		if f.Kind == Kill {
			way = "killed (kill -9)"
		}
		return fmt.Sprintf("%d bridges share the fleet; one after the other is %s and started again after %v, up to %d times", f.Bridges, way, f.Lasts, f.Rounds)
	}
	if f.Nodes > 0 {
		return fmt.Sprintf("%d times in turn, the node of the cluster that the bridge is connected to is killed (kill -9), and started again after %v, up to %d times", f.Nodes, f.Lasts, f.Rounds)
	}
	switch f.Kind {
	case Revoke, Away, Expire:
		return f.influx2Words(times)
	case Move, Rebalance, Grow:
		return f.kafkaWords(times)
	case Fill, Damage, DamageRead, Forget, Rewind, Lose:
		return f.logWords(times)
	case Repartition:
		return fmt.Sprintf("%d bridges share the fleet, then %d with the same names and logs, then %d again", f.Bridges, f.Bridges-1, f.Bridges)
	case Upgrade:
		return fmt.Sprintf("%d workers and %d bridges of an earlier version are replaced by this one, one after the other, while InfluxDB is down", f.Workers, f.Bridges)
	case Kill:
		return fmt.Sprintf("kill -9 of %s, started again after %v, up to %d times", inWords(f.Part), f.Lasts, f.Rounds)
	case Pause:
		return fmt.Sprintf("%s stopped and continued (SIGSTOP, SIGCONT), %s", inWords(f.Part), times)
	case Cut:
		return fmt.Sprintf("no connection from %s to %s, %s", inWords(f.Link.From), inWords(f.Link.To), times)
	case Delay:
		return fmt.Sprintf("%v later in both directions between %s and %s, %s", latency, inWords(f.Link.From), inWords(f.Link.To), times)
	default:
		return fmt.Sprintf("%d KB/s a connection between %s and %s, %s", f.rate(), inWords(f.Link.From), inWords(f.Link.To), times)
	}
}

func (f Fault) logWords(times string) string {
	again := fmt.Sprintf("and is started again after %v, up to %d times", f.Lasts, f.Rounds)
	switch f.Kind {
	case Fill:
		return "the disk of the bridge's log is full while InfluxDB is down, " + times
	case Damage:
		return fmt.Sprintf("records that are not delivered are overwritten while the bridge is down, after %v without Temporal and InfluxDB, up to %d times", f.Lasts, f.Rounds)
	case DamageRead:
		return "the bridge is killed (kill -9), finds records overwritten that it had delivered, " + again
	case Forget:
		return "the bridge is killed (kill -9), loses its checkpoint, " + again
	case Rewind:
		return fmt.Sprintf("the bridge is killed (kill -9), and started with the checkpoint before its last one, up to %d times", f.Rounds)
	default:
		return "the bridge ends (killed if it acknowledges what is accepted, else while no device sends), loses its log, " + again
	}
}
