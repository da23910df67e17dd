// Takes a backlog off a channel as a durable queue group of one that acknowledges each message by
// hand, and prints how many messages a second that were.
package main

import (
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/stan.go"
)

func main() {
	if len(os.Args) != 5 {
		log.Fatal("usage: consumer PORT CLUSTER CHANNEL COUNT")
	}
	count, err := strconv.Atoi(os.Args[4])
	if err != nil {
		log.Fatal(err)
	}
	connection, err := stan.Connect(os.Args[2], "bench-consumer", stan.NatsURL("nats://127.0.0.1:"+os.Args[1]))
	if err != nil {
		log.Fatal(err)
	}
	var taken int
	var began time.Time
	done := make(chan float64, 1)
	handler := func(message *stan.Msg) {
		if taken == 0 {
			began = time.Now()
		}
		if err := message.Ack(); err != nil {
			log.Fatal(err)
		}
		if taken++; taken == count {
			done <- float64(count-1) / time.Since(began).Seconds()
		}
	}
	_, err = connection.QueueSubscribe(os.Args[3], "bench", handler, stan.DurableName("bench"),
		stan.SetManualAckMode(), stan.DeliverAllAvailable(), stan.MaxInflight(8192))
	if err != nil {
		log.Fatal(err)
	}
	select {
	case rate := <-done:
		fmt.Println(rate)
	case <-time.After(2 * time.Minute):
		log.Fatal("not all messages came")
	}
	// Close waits for the server, so that every acknowledgement has arrived.
	if err := connection.Close(); err != nil {
		log.Fatal(err)
	}
}
