package deliveries

import (
	"encoding/binary"
	"errors"
	"math/bits"

	"hongyan/guard"
)

var errPacked = errors.New("a batch's list of deliveries is damaged")

func itemsOf(rows []Delivery) []Item {
	out := make([]Item, len(rows))
	for i := range rows {
		out[i] = Item{ID: rows[i].ID, FanID: rows[i].FanID}
	}
	return out
}

// packItems writes items as varints: the difference to the id before, and the fan.
func packItems(items []Item) []byte {
	out := make([]byte, 0, 6*len(items))
	var before int64
	for _, it := range items {
		out = binary.AppendVarint(out, it.ID-before)
		out = binary.AppendVarint(out, it.FanID)
		before = it.ID
	}
	return out
}

func unpackItems(packed []byte) ([]Item, error) {
	var out []Item
	var before int64
	for len(packed) > 0 {
		step, n := binary.Varint(packed)
		if n <= 0 {
			return nil, errPacked
		}
		fan, m := binary.Varint(packed[n:])
		if m <= 0 {
			return nil, errPacked
		}
		before += step
		out = append(out, Item{ID: before, FanID: fan})
		packed = packed[n+m:]
	}
	return out, nil
}

// content is what is packed of a row besides its item, in the order in which it is packed.
type content [13]int64

func (d *Delivery) content() content {
	return content{
		d.NotAfter, int64(d.Source.Kind), d.Source.ID, d.Occurrence, int64(d.StepNo), int64(d.MessageNo), int64(d.Resend), int64(d.StepSize),
		int64(d.Channel), int64(d.Class), int64(d.Options), d.MessageID, int64(d.Attempt),
	}
}

// delivery is the row of which a batch holds this.
func (c *content) delivery(b *Batch, it Item) Delivery {
	return Delivery{
		ID: it.ID,
		Key: Key{
			AccountID: b.AccountID, Source: Source{SourceKind(c[1]), c[2]}, FanID: it.FanID,
			Occurrence: c[3], StepNo: int(c[4]), MessageNo: int(c[5]), Resend: int(c[6]),
		},
		NotAfter: c[0], StepSize: int(c[7]), Channel: guard.Channel(c[8]), Class: guard.Class(c[9]), Options: guard.Option(c[10]),
		MessageID: c[11], Attempt: int(c[12]), State: StatePlanned,
	}
}

// packContent writes of each row, as bits, which fields differ from the row before, and then by how much: most rows of a broadcast take one byte.
func packContent(rows []Delivery) []byte {
	out := make([]byte, 0, 4*len(rows))
	var before content
	for i := range rows {
		fields := rows[i].content()
		var changed uint64
		for n := range fields {
			if fields[n] != before[n] {
				changed |= 1 << n
			}
		}
		out = binary.AppendUvarint(out, changed)
		for n := range fields {
			if fields[n] != before[n] {
				out = binary.AppendVarint(out, fields[n]-before[n])
			}
		}
		before = fields
	}
	return out
}

// unpackContent makes the rows of b, whose items are known.
func unpackContent(packed []byte, b *Batch) ([]Delivery, error) {
	out := make([]Delivery, 0, len(b.Items))
	var fields content
	for _, it := range b.Items {
		changed, n := binary.Uvarint(packed)
		if n <= 0 || changed>>len(fields) != 0 {
			return nil, errPacked
		}
		packed = packed[n:]
		for ; changed != 0; changed &= changed - 1 {
			by, n := binary.Varint(packed)
			if n <= 0 {
				return nil, errPacked
			}
			packed = packed[n:]
			fields[bits.TrailingZeros64(changed)] += by
		}
		out = append(out, fields.delivery(b, it))
	}
	if len(packed) > 0 {
		return nil, errPacked
	}
	return out, nil
}
