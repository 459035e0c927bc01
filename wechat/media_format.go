package wechat

import (
	"bytes"
	"time"
)

// MediaFormat is the format of a file, told by its content and not by its name. Its value
// is the usual ending of such a file's name.
type MediaFormat string

// The formats that the platform takes in one place or another (platform.md 9.1).
const (
	FormatPNG  MediaFormat = "png"
	FormatJPEG MediaFormat = "jpg"
	FormatGIF  MediaFormat = "gif"
	FormatAMR  MediaFormat = "amr"
	FormatMP3  MediaFormat = "mp3"
	FormatMP4  MediaFormat = "mp4"
)

// MIME is the media type that an upload names.
func (f MediaFormat) MIME() string {
	switch f {
	case FormatPNG:
		return "image/png"
	case FormatJPEG:
		return "image/jpeg"
	case FormatGIF:
		return "image/gif"
	case FormatAMR:
		return "audio/amr"
	case FormatMP3:
		return "audio/mpeg"
	case FormatMP4:
		return "video/mp4"
	}
	return "application/octet-stream"
}

const (
	amrHead     = "#!AMR\n"
	amrWideHead = "#!AMR-WB\n"
)

// DetectFormat tells a file's format by its first bytes; "" is none that the platform takes.
func DetectFormat(body []byte) MediaFormat {
	starts := func(with string) bool { return bytes.HasPrefix(body, []byte(with)) }
	switch {
	case starts("\x89PNG\r\n\x1a\n"):
		return FormatPNG
	case starts("\xff\xd8\xff"):
		return FormatJPEG
	case starts("GIF87a"), starts("GIF89a"):
		return FormatGIF
	case starts(amrHead), starts(amrWideHead):
		return FormatAMR
	case len(body) >= 12 && string(body[4:8]) == "ftyp" && string(body[8:12]) != "qt  ": // QuickTime has the same frame
		return FormatMP4
	case starts("ID3"):
		return FormatMP3
	}
	if _, ok := readMP3Frame(body); ok {
		return FormatMP3
	}
	return ""
}

// PlayTime is how long a recording in AMR or MP3 plays. It reports false when that cannot
// be read from the frames.
func PlayTime(body []byte) (time.Duration, bool) {
	switch DetectFormat(body) {
	case FormatAMR:
		return amrTime(body)
	case FormatMP3:
		return mp3Time(body)
	default:
		return 0, false
	}
}

// amrTime counts frames of 20 ms. A frame's first byte names its kind, and that its length.
func amrTime(body []byte) (time.Duration, bool) {
	sizes := [16]int{13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1}
	rest, narrow := bytes.CutPrefix(body, []byte(amrHead))
	if !narrow {
		sizes = [16]int{18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1}
		rest = bytes.TrimPrefix(body, []byte(amrWideHead))
	}
	frames := 0
	for len(rest) > 0 {
		size := sizes[rest[0]>>3&15]
		if size == 0 {
			return 0, false
		}
		frames++
		rest = rest[min(size, len(rest)):]
	}
	return time.Duration(frames) * 20 * time.Millisecond, true
}

// mp3Time adds up the frames, because a recording of a changing bit rate does not tell its
// length by its size. Between frames it skips what is none, as players do.
func mp3Time(body []byte) (time.Duration, bool) {
	rest := body[id3Size(body):]
	var total time.Duration
	for len(rest) > 0 {
		frame, ok := readMP3Frame(rest)
		if !ok {
			next := bytes.IndexByte(rest[1:], 0xff) // with which every frame begins
			if next < 0 {
				break
			}
			rest = rest[1+next:]
			continue
		}
		total += frame.time
		rest = rest[min(frame.size, len(rest)):]
	}
	return total, total > 0
}

// id3Size is the length of the tag that may stand before the first frame: a head of ten
// bytes, whose last four hold the length of the rest in seven bits each.
func id3Size(body []byte) int {
	if len(body) < 10 || string(body[:3]) != "ID3" {
		return 0
	}
	size := 10
	for i, b := range body[6:10] {
		size += int(b&0x7f) << (7 * (3 - i))
	}
	return min(size, len(body))
}

type mp3Frame struct {
	size int // bytes, with the head
	time time.Duration
}

// readMP3Frame reads the head of a frame of MPEG 1, 2 or 2.5, layer III.
func readMP3Frame(body []byte) (mp3Frame, bool) {
	const layer3 = 1
	if len(body) < 4 || body[0] != 0xff || body[1]&0xe0 != 0xe0 || body[1]>>1&3 != layer3 {
		return mp3Frame{}, false
	}
	version, rate, speed := body[1]>>3&3, int(body[2]>>4), int(body[2]>>2&3)
	if version == 1 || rate == 0 || rate == 15 || speed == 3 {
		return mp3Frame{}, false
	}
	hertz := [3]int{44_100, 48_000, 32_000}[speed]
	kilobits := [15]int{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320}[rate]
	samples := 1152
	if version != 3 { // not MPEG 1
		hertz /= 2
		if version == 0 { // MPEG 2.5
			hertz /= 2
		}
		kilobits = [15]int{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160}[rate]
		samples = 576
	}
	padding := int(body[2] >> 1 & 1)
	return mp3Frame{
		size: samples/8*kilobits*1000/hertz + padding,
		time: time.Duration(samples) * time.Second / time.Duration(hertz),
	}, true
}
