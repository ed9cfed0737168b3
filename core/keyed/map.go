package keyed

// Map finds a number by a number. All that it knows of a key is in one line of the
// processor's cache, but for one key in twenty: with a million of them whoever asks waits
// for the memory once. The zero value is empty and ready.
//
// Invariants: rows has a power of two, four of which make a bucket, and at most half of
// them are used; a bucket is filled from its first row on; between the bucket that a key's
// hash gives and the one that holds it none has a free row.
type Map struct {
	rows []pair
	used int
}

// pair is a key and its value, which is 0 in a free row.
type pair struct{ key, value uint64 }

const bucket = 4 // rows; 64 bytes

// Get returns the value of a key, 0 if it has none. Which row of a bucket it is in is
// not decided by branches: they could not be foreseen.
func (m *Map) Get(key uint64) (value uint64) {
	if len(m.rows) == 0 {
		return 0
	}
	mask := len(m.rows) - 1
	for at := int(scatter(key)) & mask &^ (bucket - 1); ; at = (at + bucket) & mask {
		b := m.rows[at : at+bucket : at+bucket]
		for i := range b {
			v := b[i].value
			if b[i].key != key {
				v = 0
			}
			value |= v
		}
		if value != 0 || b[bucket-1].value == 0 {
			return value
		}
	}
}

// Put gives a key that has none a value, which is not 0.
func (m *Map) Put(key, value uint64) {
	if m.used++; 2*m.used > len(m.rows) {
		old := m.rows
		m.rows = make([]pair, max(2*bucket, 2*len(old)))
		for i := range old {
			if old[i].value != 0 {
				m.put(old[i])
			}
		}
	}
	m.put(pair{key, value})
}

func (m *Map) put(p pair) {
	mask := len(m.rows) - 1
	at := int(scatter(p.key)) & mask &^ (bucket - 1)
	for m.rows[at].value != 0 {
		at = (at + 1) & mask
	}
	m.rows[at] = p
}

// scatter mixes the bits of a key: Fibonacci hashing, with the high bits folded in before and
// after.
func scatter(key uint64) uint64 {
	key = (key ^ key>>32) * 0x9e3779b97f4a7c15
	return key ^ key>>29
}
