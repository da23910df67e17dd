// Takes a backlog off a stream of JetStream by a durable pull consumer that acknowledges each
// message by hand, and prints how many messages a second that were.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: pull-consumer PORT STREAM COUNT")
	}
	count, err := strconv.Atoi(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	connection, err := nats.Connect("nats://127.0.0.1:" + os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	stream, err := jetstream.New(connection)
	if err != nil {
		log.Fatal(err)
	}
	within, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	consumer, err := stream.CreateConsumer(within, os.Args[2], jetstream.ConsumerConfig{
		Durable: "bench", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 32768,
	})
	if err != nil {
		log.Fatal(err)
	}
	var taken int
	var began time.Time
	done := make(chan float64, 1)
	consuming, err := consumer.Consume(func(message jetstream.Msg) {
		if taken == 0 {
			began = time.Now()
		}
		if err := message.Ack(); err != nil {
			log.Fatal(err)
		}
		if taken++; taken == count {
			done <- float64(count-1) / time.Since(began).Seconds()
		}
	}, jetstream.PullMaxMessages(5000))
	if err != nil {
		log.Fatal(err)
	}
	select {
	case rate := <-done:
		fmt.Println(rate)
	case <-within.Done():
		log.Fatal("not all messages came")
	}
	consuming.Stop()
	// So that every acknowledgement has arrived.
	if err := connection.Flush(); err != nil {
		log.Fatal(err)
	}
}
