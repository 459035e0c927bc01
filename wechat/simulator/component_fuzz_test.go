package simulator

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzParseComponentBody(f *testing.F) {
	f.Add([]byte(`{"component_appid":"wx1","offset":0}`))
	f.Add([]byte(`{"component_appid":"wx1","offset":null}`))
	f.Add([]byte(`{"component_appid":"wx\u0031","offset":1e3}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		in, code := parseComponentBody(body, []string{"component_appid", "#offset"})
		if code != codeOK {
			return
		}
		require.Len(t, in, 2)
		require.NotEmpty(t, in["component_appid"])
		_, err := strconv.Atoi(in["offset"])
		require.NoError(t, err)
	})
}
