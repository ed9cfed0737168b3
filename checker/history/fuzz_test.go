package history

import (
	"bytes"
	"testing"
)

// What Load accepts is written as it was read, and nothing makes it panic.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"format":"tidalsim-history","version":1}
{"invoke":1,"return":2,"invoke_at_ns":5,"return_at_ns":9,"client":3,"kind":"write","outcome":"acked","tenant":"1","slot":0,"entity":"7","signal":{"kind":1,"weight":-4,"client_time_ns":"8"},"session":3,"request":1,"seq":4}
{"invoke":3,"return":4,"invoke_at_ns":10,"return_at_ns":12,"client":3,"kind":"read","outcome":"acked","tenant":"1","slot":0,"entity":"7","state":{"last_seq":4,"applied":"000102030405060708090a0b0c0d0e0f","totals":[{"kind":1,"count":1,"weight":"-4"}]}}
`))
	f.Add([]byte(`{"format":"tidalsim-history","version":2}`))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := Load(bytes.NewReader(data))
		if err != nil {
			return
		}
		var first, second bytes.Buffer
		if err := h.Write(&first); err != nil {
			t.Fatal(err)
		}
		again, err := Load(bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, &first)
		}
		if err := again.Write(&second); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("%v: written once:\n%s\nand again:\n%s", err, &first, &second)
		}
	})
}
