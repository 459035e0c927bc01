package simulator

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"net/http"
	"time"
)

const (
	imageSide   = 430 // pixels, as on the platform
	imageModule = 10  // pixels
	imageQuiet  = 4   // modules of margin
)

// serveShowQRCode is GET /cgi-bin/showqrcode: the image of a ticket, for everybody, and HTTP
// 404 for a ticket that is unknown or expired (platform.md 6.1). The picture cannot be
// scanned by a phone, because nothing would be behind it: it shows the bits of its address
// in rows, and carries ticket and address as comments of the JPEG.
func (s *Simulator) serveShowQRCode(c *call) {
	if c.method != "GET" {
		c.refuse(codeRequireGet)
		return
	}
	ticket := queryValue(c.query, "ticket")
	one, ok := s.codeOf(ticket, c.at)
	if !ok {
		c.refuse(codeBadParameter)
		c.status = http.StatusNotFound
		return
	}
	body, err := drawCode(ticket, one.url)
	if err != nil {
		c.refuse(codeBusy)
		return
	}
	c.answer, c.typed = body, "image/jpeg"
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
	img := image.NewGray(image.Rect(0, 0, imageSide, imageSide))
	for i := range img.Pix {
		img.Pix[i] = 0xff
	}
	perRow := imageSide/imageModule - 2*imageQuiet
	for i := range 8 * len(address) {
		if address[i/8]>>(7-i%8)&1 == 0 {
			continue
		}
		x, y := (i%perRow+imageQuiet)*imageModule, (i/perRow+imageQuiet)*imageModule
		for dy := range imageModule {
			for dx := range imageModule {
				img.SetGray(x+dx, y+dy, color.Gray{})
			}
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		return nil, err
	}
	return withComments(b.Bytes(), "Ticket: "+ticket, "URL: "+address), nil
}

// withComments puts texts into a JPEG, behind its first marker.
func withComments(body []byte, texts ...string) []byte {
	const start = 2 // bytes of the marker that a JPEG begins with
	out := bytes.Clone(body[:start])
	for _, text := range texts {
		out = append(out, 0xff, 0xfe)
		out = binary.BigEndian.AppendUint16(out, uint16(len(text)+2))
		out = append(out, text...)
	}
	return append(out, body[start:]...)
}
