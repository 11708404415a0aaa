"""x"""
from ._xetrackd import *
