package frame

import (
	"encoding/hex"
	"flag"
	"testing"

	"github.com/tidaldb/tidalsim/internal/golden"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/v1 anew; right only as long as no process of version 1 runs anywhere")

// TestGoldenStream: the hello of a connection and a message, each in its frame.
func TestGoldenStream(t *testing.T) {
	stream := Append(nil, AppendHello(nil, Hello{From: 3, To: 1 << 31, Incarnation: 1 << 40, Connection: 7}))
	stream = Append(stream, []byte("message"))
	golden.Text(t, "testdata/v1/stream.txt", "# A stream of version 1. It holds for ever.\n"+hex.Dump(stream), *rewrite)
}
