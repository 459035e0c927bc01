package limits

import wall "time"

var now = wall.Now

func init() { wall.Sleep(wall.Second) }
