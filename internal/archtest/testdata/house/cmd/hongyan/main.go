package main

import (
	_ "github.com/gofiber/fiber/v2"

	_ "hongyan/wechat/simulator"
)
