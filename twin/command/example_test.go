package command_test

import (
	"encoding/json"
	"fmt"
	"time"

	"devicetwin/twin/command"
)

var now = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

func reboot(id string, ttl time.Duration) command.Command {
	return command.Command{ID: id, Name: "reboot", Data: json.RawMessage(`{"delay":5}`), Created: now, Expires: now.Add(ttl)}
}

// The life of a command: it waits, is sent, is accepted and succeeds.
func Example() {
	var q command.Queue
	if _, _, refused := q.Add(reboot("c1", time.Hour), false, command.DefaultLimits()); refused != nil {
		fmt.Println(refused)
		return
	}

	// The device is online, and no other command is under way.
	c, ok := q.Next(now)
	fmt.Println(ok, c.ID, c.Status, string(c.Data))

	// The device reconnected: it may not have received the command.
	c, _ = q.Again()
	fmt.Println("delivery", c.Deliveries)

	c, changed := q.Acknowledge("c1", command.Accepted, nil, "", now)
	fmt.Println(changed, c.Status, c.Status.Ended())

	c, _ = q.Acknowledge("c1", command.Succeeded, json.RawMessage(`{"uptime":0}`), "", now.Add(time.Minute))
	fmt.Println(c.Status, string(c.Result), c.Status.Ended())
	// Output:
	// true c1 sent {"delay":5}
	// delivery 2
	// true accepted false
	// succeeded {"uptime":0} true
}

func ExampleQueue_Expire() {
	var q command.Queue
	q.Add(reboot("c1", time.Minute), false, command.DefaultLimits())

	deadline, _ := q.Deadline() // set a timer
	for _, c := range q.Expire(deadline) {
		fmt.Println(c.ID, c.Status, c.Reason)
	}
	// Output:
	// c1 expired not sent in time
}

// With replace, a newer command of the same name takes the place of those that
// wait.
func ExampleQueue_Add() {
	var q command.Queue
	q.Add(reboot("c1", time.Hour), false, command.DefaultLimits())
	_, superseded, _ := q.Add(reboot("c2", time.Hour), true, command.DefaultLimits())
	fmt.Println(superseded[0].ID, superseded[0].Status, superseded[0].Reason)

	_, _, refused := q.Add(reboot("c3", -time.Second), false, command.DefaultLimits())
	fmt.Println(refused.Code, refused.Message)
	// Output:
	// c1 superseded by c2
	// 400 the time to live of command reboot must be greater than 0
}

func ExampleQueue_Cancel() {
	var q command.Queue
	q.Add(reboot("c1", time.Hour), false, command.DefaultLimits())
	c, _ := q.Cancel("c1", "maintenance", now)
	fmt.Println(c.Status, c.Reason)
	_, refused := q.Cancel("c1", "", now)
	fmt.Println(refused.Code, refused)
	// Output:
	// cancelled maintenance
	// 409 command c1 has already ended: cancelled
}
