package simulator

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"time"
)

const (
	imageSide   = 430 // pixels, as on the platform
	imageModule = 10  // pixels
	imageQuiet  = 4   // modules of margin
)

// serveShowQRCode is GET /cgi-bin/showqrcode: the image of a ticket, for everybody. The
// picture cannot be scanned by a phone, because nothing would be behind it: it shows the
// bits of its address in rows, and carries ticket and address as texts of the PNG.
func (s *Simulator) serveShowQRCode(c *call) {
	if c.method != "GET" {
		c.refuse(codeRequireGet)
		return
	}
	ticket := queryValue(c.query, "ticket")
	one, ok := s.codeOf(ticket, c.at)
	if !ok {
		c.refuse(codeBadParameter)
		return
	}
	body, err := drawCode(ticket, one.url)
	if err != nil {
		c.refuse(codeBusy)
		return
	}
	c.answer, c.typed = body, "image/png"
}

// codeOf finds a code that is good at a time, whatever account made it.
func (s *Simulator) codeOf(ticket string, at time.Time) (qrCode, bool) {
	t := &s.accounts
	t.mu.RLock()
	list := append([]*account(nil), t.list...)
	t.mu.RUnlock()
	for _, a := range list {
		a.mu.Lock()
		one, ok := a.qrcode.codes[ticket]
		a.mu.Unlock()
		if ok {
			return one, !one.expired(at)
		}
	}
	return qrCode{}, false
}

// drawCode draws the image of a code. The same code gives the same bytes.
func drawCode(ticket, address string) ([]byte, error) {
	img := image.NewPaletted(image.Rect(0, 0, imageSide, imageSide), color.Palette{color.White, color.Black})
	perRow := imageSide/imageModule - 2*imageQuiet
	for i := range 8 * len(address) {
		if address[i/8]>>(7-i%8)&1 == 0 {
			continue
		}
		x, y := (i%perRow+imageQuiet)*imageModule, (i/perRow+imageQuiet)*imageModule
		for dy := range imageModule {
			for dx := range imageModule {
				img.SetColorIndex(x+dx, y+dy, 1)
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, err
	}
	return withTexts(b.Bytes(), "Ticket", ticket, "URL", address), nil
}

// withTexts puts keys and texts into a PNG, behind its header.
func withTexts(body []byte, pairs ...string) []byte {
	const header = 8 + 4 + 4 + 13 + 4 // signature and the chunk IHDR
	out := bytes.Clone(body[:header])
	for i := 0; i+1 < len(pairs); i += 2 {
		chunk := []byte("tEXt" + pairs[i] + "\x00" + pairs[i+1])
		out = binary.BigEndian.AppendUint32(out, uint32(len(chunk)-4))
		out = append(out, chunk...)
		out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(chunk))
	}
	return append(out, body[header:]...)
}
