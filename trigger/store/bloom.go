package store

import "math/bits"

// bloom is a Bloom filter: it has all keys that were added, and one in a thousand of the
// others.
type bloom []byte

const (
	bloomBits   = 15 // for each key
	bloomProbes = 10
)

func newBloom(keys []uint64) bloom {
	f := make(bloom, len(keys)*bloomBits/8+1)
	for _, key := range keys {
		for n := range bloomProbes {
			at := f.at(key, n)
			f[at/8] |= 1 << (at % 8)
		}
	}
	return f
}

func (f bloom) has(key uint64) bool {
	for n := range bloomProbes {
		if at := f.at(key, n); f[at/8]&(1<<(at%8)) == 0 {
			return false
		}
	}
	return true
}

// at is the position of the nth bit of a key. As many as are needed are made of the two
// halves of the key (Kirsch, Mitzenmacher: Less Hashing, Same Performance).
func (f bloom) at(key uint64, n int) uint64 {
	at, _ := bits.Mul64(key+uint64(n)*(key<<32|1), uint64(len(f))*8) //nolint:gosec // small
	return at
}
