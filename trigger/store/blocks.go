package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
	"time"
)

// An index for each filter of a list would be paid for by every delivery. In their place
// are blocks: for a run of rows, when they were received, and a Bloom filter of the values
// by which they are listed and which never change. A list or a look for what is old reads
// the blocks and leaves out the rows of those that cannot have it. They are written aside,
// when rows are committed; rows of no block are read.

// blocked is a table with blocks.
type blocked struct {
	table   string
	only    string   // the condition of the rows that blocks tell of
	columns []string // whose values are in the filter
}

func blockedBuilds() blocked {
	return blocked{"builds", "seq > 0", []string{"rule", "target", "job_id", "repository", "ref"}}
}

// Those of the ignored log are few, and most are soon forgotten.
func blockedDeliveries() blocked {
	return blocked{"deliveries", "outcome = 'accepted'", []string{"source", "repository", "ref"}}
}

const (
	blockRows     = 256  // that a block tells of
	blockLong     = 4096 // seqs after which it ends though it has fewer: where the others are of the ignored log
	blockParts    = 8    // equal runs of seqs in a block that the filter tells apart
	blocksAtOnce  = 16   // written in one transaction
	blockInterval = time.Second
)

// span is a run of rows, both ends included.
type span struct{ first, last int64 }

// block is what is known of the rows of a span.
type block struct {
	span
	earliest, latest int64 // received_at
	emptied          bool  // of deliveries: no body is left
	filter           bloom
}

// part gives the seqs of one part.
func (b *block) part(n int64) span {
	return span{b.first + n*b.length(), min(b.first+(n+1)*b.length()-1, b.last)}
}

// length is how many seqs a part has; the last ones may have fewer.
func (b *block) length() int64 { return (b.last - b.first + blockParts) / blockParts }

// has tells whether a part may have a row with a value, by its key.
func (b *block) has(part int64, key uint64) bool { return b.filter.has(partKey(key, part)) }

// valueKey stands for a value of a column in filters, partKey for one in a part.
func valueKey(column, value string) uint64 { return uint64(lockKey(column, value)) } //nolint:gosec // all 64 bits

func partKey(key uint64, part int64) uint64 {
	key += uint64(part+1) * 0x9e3779b97f4a7c15 //nolint:gosec // small
	key = (key ^ key>>30) * 0xbf58476d1ce4e5b9 // the end of SplitMix64: a bit changes half of all
	key = (key ^ key>>27) * 0x94d049bb133111eb
	return key ^ key>>31
}

// bloom is a Bloom filter: it has all keys that were added, and one in a thousand others.
type bloom []byte

const (
	bloomBits   = 15 // a key
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

// at is the nth bit of a key. The halves of the key make as many as are needed (Kirsch,
// Mitzenmacher: Less Hashing, Same Performance).
func (f bloom) at(key uint64, n int) uint64 {
	at, _ := bits.Mul64(key+uint64(n)*(key<<32|1), uint64(len(f))*8) //nolint:gosec // small
	return at
}

// spans gives the spans up to a seq that may have what is looked for, the newest first,
// until do returns false: those of the blocks, or of their parts, that fit, and of no
// block. Those with a gap between them that costs less than a statement are one. values
// is whether fit needs the filter.
func (s *Store) spans(ctx context.Context, t blocked, high, gap int64, values bool, fit func(b *block, part int64) bool, do func(span) (more bool, err error)) error {
	for n := 8; ; n = min(4*n, 512) { // few where the newest rows fit
		blocks, err := s.blocks(ctx, t, high, n, values)
		if err != nil {
			return err
		}
		var found []span
		add := func(next span) {
			switch last := len(found) - 1; {
			case next.first > next.last:
			case last >= 0 && found[last].first-next.last <= gap+1:
				found[last].first = next.first
			default:
				found = append(found, next)
			}
		}
		for _, b := range blocks {
			if b.last > high {
				continue // of two replicas: the rows of both are in the other
			}
			add(span{b.last + 1, high})
			for n := int64(blockParts - 1); n >= 0; n-- {
				if fit(b, n) {
					add(b.part(n))
				}
			}
			high = b.first - 1
		}
		if len(blocks) < n {
			add(span{0, high})
		}
		for _, sp := range found {
			if more, err := do(sp); err != nil || !more {
				return err
			}
		}
		if len(blocks) < n {
			return nil
		}
	}
}

// blocks reads up to n of those that end at a seq or before, the newest first.
func (s *Store) blocks(ctx context.Context, t blocked, high int64, n int, values bool) (blocks []*block, err error) {
	columns := "last_seq, first_seq, earliest, latest"
	if t.table == "deliveries" {
		columns += ", emptied"
	}
	if values {
		columns += ", filter"
	}
	rows, err := s.db.reader().query(ctx, `SELECT `+columns+` FROM `+t.table+`_blocks WHERE last_seq <= ? ORDER BY last_seq DESC LIMIT ?`, high, n)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var b block
		into := []any{&b.last, &b.first, &b.earliest, &b.latest}
		if t.table == "deliveries" {
			into = append(into, (*flag)(&b.emptied))
		}
		if values {
			into = append(into, (*[]byte)(&b.filter))
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		blocks = append(blocks, &b)
	}
	return blocks, rows.Err()
}

// blockWriter writes the blocks of a table.
type blockWriter struct {
	blocked
	complete int64 // up to here every row that will ever be is there to be read
	looked   int64 // up to here there were too few rows for another block
	before   int64 // the last seq a look ago
	mark     int64 // that before xmax was read
	xmax     int64
}

func (s *Store) blockLoop() {
	ctx := s.life
	ticker := time.NewTicker(blockInterval)
	defer ticker.Stop()
	for tables := []*blockWriter{{blocked: blockedBuilds()}, {blocked: blockedDeliveries()}}; ; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		for _, c := range tables {
			if err := s.writeBlocks(ctx, c); err != nil && ctx.Err() == nil {
				s.log.DebugContext(ctx, "lists get slower: what their rows have was not written", "table", c.table, "error", err)
			}
		}
	}
}

// writeBlocks writes what blocks there are to write.
func (s *Store) writeBlocks(ctx context.Context, c *blockWriter) error {
	var newest, xmin, xmax int64
	if err := s.db.reader().queryRow(ctx, `SELECT coalesce(max(seq), 0), `+s.db.dialect().transactions+` FROM `+c.table).Scan(&newest, &xmin, &xmax); err != nil {
		return err
	}
	c.advance(newest, xmin, xmax)
	for began := time.Now(); ; {
		last, more, err := s.writeNextBlocks(ctx, c)
		if err != nil || !more {
			return err
		}
		if time.Since(began) > 5*time.Second {
			s.log.InfoContext(ctx, "lists are slow until it is written what their rows have", "table", c.table, "rows_left", c.complete-last)
			began = time.Now()
		}
	}
}

// writeNextBlocks writes the next blocks, and tells where they end and whether there may be
// more. Meanwhile nothing is forgotten: SQLite gives the seqs of the last rows anew when
// they are gone.
func (s *Store) writeNextBlocks(ctx context.Context, c *blockWriter) (last int64, more bool, err error) {
	s.pruning.Lock()
	defer s.pruning.Unlock()
	var newest int64
	if err := s.db.reader().queryRow(ctx, `SELECT coalesce((SELECT max(last_seq) FROM `+c.table+`_blocks), 0), coalesce(max(seq), 0) FROM `+c.table).
		Scan(&last, &newest); err != nil {
		return 0, false, err
	}
	complete := min(c.complete, newest)
	if c.looked = min(c.looked, complete); complete-max(last, c.looked) < blockRows {
		return last, false, nil
	}
	var made []*block
	for len(made) < blocksAtOnce {
		b, err := s.readBlock(ctx, c.blocked, last+1, complete)
		if err != nil {
			return 0, false, err
		}
		if b == nil {
			c.looked = complete
			break
		}
		made, last = append(made, b), b.last
	}
	if len(made) == 0 {
		return last, false, nil
	}
	err = s.write(ctx, nil, func(ctx context.Context, tx *tx) error {
		for _, b := range made {
			if _, err := tx.exec(ctx, `INSERT INTO `+c.table+`_blocks (last_seq, first_seq, earliest, latest, filter) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT DO NOTHING`, b.last, b.first, b.earliest, b.latest, []byte(b.filter)); err != nil {
				return fmt.Errorf("blocks of %s: %w", c.table, err)
			}
		}
		return nil
	})
	return last, len(made) == blocksAtOnce, err
}

// settle moves complete on. Postgres gives a seq before the commit, so a lower one may
// come into sight after a higher one: but not once all transactions have ended that ran
// when the higher one was seen. One that has a seq has its number a moment later at the
// most; so that is read one look after the seq.
func (c *blockWriter) advance(newest, xmin, xmax int64) {
	if xmin >= c.xmax {
		c.complete, c.mark, c.xmax = c.mark, c.before, xmax
	}
	c.before = newest
}

// readBlock makes the block that begins at a seq, nil if there are not rows enough.
func (s *Store) readBlock(ctx context.Context, t blocked, first, complete int64) (_ *block, err error) {
	rows, err := s.db.reader().query(ctx, `SELECT seq, received_at, `+strings.Join(t.columns, ", ")+` FROM `+t.table+`
		WHERE seq BETWEEN ? AND ? AND `+t.only+` ORDER BY seq LIMIT ?`, first, complete, blockRows)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var (
		b      = &block{span: span{first, first}, earliest: math.MaxInt64, latest: math.MinInt64}
		seqs   []int64
		keys   []uint64
		values = make([]string, len(t.columns))
		at     int64
		into   = []any{&b.last, &at}
	)
	for i := range values {
		into = append(into, &values[i])
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		b.earliest, b.latest = min(b.earliest, at), max(b.latest, at)
		seqs = append(seqs, b.last)
		for i, column := range t.columns {
			keys = append(keys, valueKey(column, values[i]))
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if len(seqs) < blockRows {
		if complete-first < blockLong {
			return nil, nil //nolint:nilnil // as it says
		}
		b.last = complete
	}
	for i := range keys {
		keys[i] = partKey(keys[i], (seqs[i/len(t.columns)]-first)/b.length())
	}
	slices.Sort(keys)
	b.filter = newBloom(slices.Compact(keys))
	return b, nil
}
